-- Write a tombstone, unless one is there that voids more.
-- KEYS 1 tombstones
-- ARGV 1 its field, 2 its body, 3 the token up to which it voids
-- RETURNS 1 written, 0 one that voids more stays
local there = redis.call('HGET', KEYS[1], ARGV[1])
if there and cjson.decode(there)['void_token'] > tonumber(ARGV[3]) then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
