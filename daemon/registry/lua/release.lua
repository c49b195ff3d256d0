-- Give a lease back.
-- KEYS 1 lease
-- ARGV 1 holder, 2 our token
-- RETURNS 1 when it was ours, 0 otherwise
if redis.call('GET', KEYS[1]) == ARGV[1] .. '|' .. ARGV[2] then
  return redis.call('DEL', KEYS[1])
end
return 0
