-- Remove idempotency keys of a session that have expired.
-- KEYS 1 sends of the session
-- ARGV 1 what the names of the session's send keys begin with, 2 how many at most
-- RETURNS in how many ms the next one expires (0: there are more to remove), -1 none is left
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
for _, digest in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ms, 'LIMIT', 0, ARGV[2])) do
  redis.call('UNLINK', ARGV[1] .. digest)
  redis.call('ZREM', KEYS[1], digest)
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return first[2] and math.max(0, tonumber(first[2]) - ms) or -1
