-- Remove a hot copy and what the record says of it, as the holder of the lease.
-- KEYS 1 hot copy, 2 record, 3 token
-- ARGV 1 the holder's token
-- RETURNS 1 removed, 0 no such record, -1 a newer token exists
if redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return -1
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[2], 'hot_copy', '')
return 1
