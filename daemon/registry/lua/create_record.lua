-- Create a session record unless there is one.
-- KEYS 1 record
-- ARGV field, value, field, value, ...
-- RETURNS 1 created, 0 there already
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
