-- Stop leading, so that another coordinator may at once.
-- KEYS 1 leader
-- ARGV 1 who
-- RETURNS 1 given up, 0 it did not lead
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
