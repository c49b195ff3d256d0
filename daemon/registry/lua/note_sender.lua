-- Note that a session is about to have an idempotency key, so that it is found when it has expired.
-- KEYS 1 senders
-- ARGV 1 session, 2 how long keys are remembered (ms), 3 for how long nobody may call the session empty (ms)
-- RETURNS nothing
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  redis.call('ZADD', KEYS[1], 'GT', ms + tonumber(ARGV[3]), ARGV[1])
else
  redis.call('ZADD', KEYS[1], ms + tonumber(ARGV[2]), ARGV[1])
end
