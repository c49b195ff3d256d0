-- Remove what is kept of a session that is to be deleted, unless somebody runs it or it is wanted again.
-- KEYS 1 record, 2 lease, 3 hot copy, 4 code
-- ARGV 1 the word of a session that is to be deleted
-- RETURNS 1 removed, 0 there was no record, -1 held or wanted
if redis.call('EXISTS', KEYS[2]) == 1 then
  return -1
end
local desired = redis.call('HGET', KEYS[1], 'desired')
if desired and desired ~= ARGV[1] then
  return -1
end
return redis.call('DEL', KEYS[1], KEYS[3], KEYS[4]) > 0 and 1 or 0
