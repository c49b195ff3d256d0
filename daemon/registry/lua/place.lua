-- Record where a session belongs, if it is still where the planner saw it.
-- KEYS 1 record
-- ARGV 1 shard ('' none), 2 the shard it was seen on ('' none), 3 the shard that hands it over ('' none)
-- RETURNS 1 it is placed so, 0 no such record, -1 it is placed elsewhere by now
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local present = redis.call('HGET', KEYS[1], 'shard') or ''
if present == ARGV[1] then
  return 1
end
if present ~= ARGV[2] then
  return -1
end
redis.call('HSET', KEYS[1], 'shard', ARGV[1], 'moving_from', ARGV[3])
return 1
