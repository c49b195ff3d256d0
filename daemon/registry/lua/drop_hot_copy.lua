-- Remove a hot copy and what the record says of it, as the holder of the lease.
-- KEYS 1 hot copy, 2 record, 3 token, 4 epoch of the session
-- ARGV 1 the holder's token
-- RETURNS 1 removed, 0 the record was deleted, -1 a newer token exists, -2 Redis lost our token or the record
local known = tonumber(redis.call('GET', KEYS[3]) or '0')
if known ~= tonumber(ARGV[1]) then
  return known > tonumber(ARGV[1]) and -1 or -2
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  local epoch = redis.call('GET', KEYS[4])
  return epoch and epoch ~= 'lost' and 0 or -2
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[2], 'hot_copy', '')
return 1
