-- Remove a tombstone, if it is still the one that was read.
-- KEYS 1 tombstones
-- ARGV 1 its field, 2 its body
-- RETURNS 1 removed, 0 another one is there, or none
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
return redis.call('HDEL', KEYS[1], ARGV[1])
