-- Remove a dead letter for good.
-- KEYS 1 dead letters, 2 counts
-- ARGV 1 entry id, 2 its endpoint
-- RETURNS 1 removed, 0 there was none
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('HINCRBY', KEYS[2], 'dead:' .. ARGV[2], -1)
return 1
