-- Decide the fate of a command: the first to claim it wins. Redis' own clock says whether it is too old to begin.
-- KEYS 1 claims of the shard
-- ARGV 1 command id, 2 when it was given (ms, Redis time), 3 how old it may be (ms, 0 any age), 4 how long to remember (ms)
-- RETURNS 1 claimed, 0 somebody else did before, -1 too old (and now nobody may begin it)
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[4]), 'LIMIT', 0, 100)
if #old > 0 then
  redis.call('ZREM', KEYS[1], unpack(old))
end
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
if tonumber(ARGV[3]) > 0 and now - tonumber(ARGV[2]) > tonumber(ARGV[3]) then
  return -1
end
return 1
