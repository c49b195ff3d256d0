-- Prolong a lease that is ours. One that ran out is taken again as long as nobody else was given a token since.
-- A token that is lower than ours, or none, means that Redis lost data: whoever is given one then is given a higher one.
-- The session then counts as not whole: until a later lease is taken, a record that is missing was not deleted but lost.
-- Its epoch is 'lost' until its holder has written it again: a holder that the answer did not reach is told once more.
-- KEYS 1 lease, 2 token, 3 epoch of the session
-- ARGV 1 holder, 2 our token, 3 TTL in ms
-- RETURNS 1 ours for another TTL, 2 ours again after Redis lost it and still to be written, 0 lost
local mine = ARGV[1] .. '|' .. ARGV[2]
local held = redis.call('GET', KEYS[1])
local known = tonumber(redis.call('GET', KEYS[2]) or '0')
if known == tonumber(ARGV[2]) then
  if held and held ~= mine then
    return 0
  end
  redis.call('SET', KEYS[1], mine, 'PX', ARGV[3])
  return redis.call('GET', KEYS[3]) == 'lost' and 2 or 1
end
if known > tonumber(ARGV[2]) then
  return 0
end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('SET', KEYS[3], 'lost')
redis.call('SET', KEYS[1], mine, 'PX', ARGV[3])
return 2
