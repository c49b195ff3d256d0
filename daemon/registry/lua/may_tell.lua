-- Ask, just before an event is told, whether the teller still holds the session and has not told it before.
-- KEYS 1 token, 2 told
-- ARGV 1 the holder's token (0: not a holder's), 2 event id
-- RETURNS 1 tell it, 0 it was told before, -1 a newer token exists
if tonumber(ARGV[1]) > 0 and tonumber(redis.call('GET', KEYS[1]) or '0') > tonumber(ARGV[1]) then
  return -1
end
return redis.call('ZSCORE', KEYS[2], ARGV[2]) and 0 or 1
