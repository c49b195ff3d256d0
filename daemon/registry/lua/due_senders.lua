-- Tell which sessions may have idempotency keys that have expired.
-- KEYS 1 senders
-- ARGV 1 how many at most
-- RETURNS session, its score, ... the longest due first
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ms, 'WITHSCORES', 'LIMIT', 0, ARGV[1])
