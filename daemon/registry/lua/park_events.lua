-- Move events of one session from an endpoint's group to the session's own queue at that endpoint.
-- KEYS 1 events, 2 queue, 3 due times, 4 oldest times, 5 tries, 6 counts
-- ARGV 1 endpoint, 2 session, 3 next try (ms), 4 most parked events of the endpoint, 5 what is known of the tries,
--   6 how many there must be room for, or none is moved, then entry id, event, entry id, event, ...
-- RETURNS how many of the given are out of the group; fewer than were given when there is no room
local counter = 'parked:' .. ARGV[1]
local room = tonumber(ARGV[4]) - tonumber(redis.call('HGET', KEYS[6], counter) or '0')
local group = 'to:' .. ARGV[1]
-- What is not pending any more was moved by a call whose answer was lost.
local function pending(id)
  return #redis.call('XPENDING', KEYS[1], group, id, id, 1) == 1
end
if room < tonumber(ARGV[6]) and pending(ARGV[7]) then
  return 0
end
local handled = 0
for at = 7, #ARGV, 2 do
  if room <= 0 and pending(ARGV[at]) then
    break
  end
  if redis.call('XACK', KEYS[1], group, ARGV[at]) == 1 then
    local told = string.match(ARGV[at], '^(%d+)')
    redis.call('XADD', KEYS[2], '*', 'event', ARGV[at + 1], 'told', told)
    redis.call('ZADD', KEYS[4], 'NX', told, ARGV[2])
    redis.call('HINCRBY', KEYS[6], counter, 1)
    room = room - 1
  end
  handled = handled + 1
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  if redis.call('ZADD', KEYS[3], 'NX', ARGV[3], ARGV[2]) == 1 and ARGV[5] ~= '' then
    redis.call('HSET', KEYS[5], ARGV[2], ARGV[5])
  end
end
return handled
