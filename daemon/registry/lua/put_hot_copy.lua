-- Store a hot copy and say so in the record, both or neither, as the holder of the lease.
-- KEYS 1 hot copy, 2 record, 3 token, 4 epoch of the session
-- ARGV 1 the holder's token, 2 bytes, 3 TTL in ms (0: none), 4 facts as JSON
-- RETURNS 1 written, 0 the record was deleted, -1 a newer token exists, -2 Redis lost our token or the record
local known = tonumber(redis.call('GET', KEYS[3]) or '0')
if known ~= tonumber(ARGV[1]) then
  return known > tonumber(ARGV[1]) and -1 or -2
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  local epoch = redis.call('GET', KEYS[4])
  return epoch and epoch ~= 'lost' and 0 or -2
end
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[3] ~= '0' then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
redis.call('HSET', KEYS[2], 'hot_copy', ARGV[4], 'hot_copy_reason', '')
return 1
