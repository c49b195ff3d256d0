-- Change fields of a record as the holder of the session's lease.
-- KEYS 1 record, 2 token, 3 epoch of the session
-- ARGV 1 the holder's token, then field, value, field, value, ...
-- RETURNS 1 written, 0 the record was deleted, -1 a newer token exists, -2 Redis lost our token or the record
local known = tonumber(redis.call('GET', KEYS[2]) or '0')
if known ~= tonumber(ARGV[1]) then
  return known > tonumber(ARGV[1]) and -1 or -2
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  local epoch = redis.call('GET', KEYS[3])
  return epoch and epoch ~= 'lost' and 0 or -2
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
