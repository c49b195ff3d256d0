-- Take the TTL off a restore job that is listed now, unless it is done already: it has to end some day, then.
-- KEYS 1 job, 2 sessions that were named
-- ARGV 1 state of a job that is done
-- RETURNS nothing
local body = redis.call('GET', KEYS[1])
if body and cjson.decode(body).state ~= ARGV[1] then
  redis.call('PERSIST', KEYS[1])
  redis.call('PERSIST', KEYS[2])
end
