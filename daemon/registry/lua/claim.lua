-- Decide the fate of a command: the first to claim it wins. Redis' own clock says whether it is too old to begin.
-- KEYS 1 claim
-- ARGV 1 who, 2 when the command was given (ms, Redis time), 3 how old it may be (ms, 0 any age), 4 how long to remember (ms)
-- RETURNS 1 claimed, 0 somebody else did before, -1 too old (and now nobody may begin it)
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
local now = redis.call('TIME')
local age = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) - tonumber(ARGV[2])
if tonumber(ARGV[3]) > 0 and age > tonumber(ARGV[3]) then
  redis.call('SET', KEYS[1], 'expired', 'PX', ARGV[4])
  return -1
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[4])
return 1
