-- Change fields of a record as the holder of the session's lease.
-- KEYS 1 record, 2 token
-- ARGV 1 the holder's token, then field, value, field, value, ...
-- RETURNS 1 written, 0 no such record, -1 a newer token exists, -2 Redis lost our token
local known = tonumber(redis.call('GET', KEYS[2]) or '0')
if known ~= tonumber(ARGV[1]) then
  return known > tonumber(ARGV[1]) and -1 or -2
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
