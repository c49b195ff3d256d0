-- Note that Redis fell back to an earlier moment of a run: its holder is told at its next renewal, and writes it again.
-- KEYS 1 token, 2 epoch of the session
-- ARGV 1 the holder's token
-- RETURNS 1 noted, 0 another token is known
if tonumber(redis.call('GET', KEYS[1]) or '0') ~= tonumber(ARGV[1]) then
  return 0
end
redis.call('SET', KEYS[2], 'lost')
return 1
