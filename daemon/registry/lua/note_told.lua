-- Note that an event was told, and keep the last few of the session only.
-- KEYS 1 told
-- ARGV 1 event id, 2 how many are kept, 3 how long (ms)
-- RETURNS nothing
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
