-- Change fields of a record as the holder of the session's lease.
-- KEYS 1 record, 2 token
-- ARGV 1 the holder's token, then field, value, field, value, ...
-- RETURNS 1 written, 0 no such record, -1 a newer token exists
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return -1
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
