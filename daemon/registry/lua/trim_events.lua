-- Remove the oldest events that every endpoint has acknowledged, and keep so many of them all the same.
-- KEYS 1 events
-- ARGV 1 how many are kept, 2 most to remove at a time
-- RETURNS how many were removed
local function after(a, b)
  local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
  if a_ms ~= b_ms then
    return tonumber(a_ms) > tonumber(b_ms)
  end
  return tonumber(a_seq) > tonumber(b_seq)
end

local excess = math.min(redis.call('XLEN', KEYS[1]) - tonumber(ARGV[1]), tonumber(ARGV[2]))
if excess <= 0 then
  return 0
end
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', excess + 1)
local cut = oldest[#oldest][1]
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for at = 1, #flat, 2 do
    group[flat[at]] = flat[at + 1]
  end
  if string.match(group['name'], '^to:') then
    local floor = group['last-delivered-id']
    if group['pending'] > 0 then
      floor = redis.call('XPENDING', KEYS[1], group['name'])[2]
    end
    if after(cut, floor) then
      cut = floor
    end
  end
end
return redis.call('XTRIM', KEYS[1], 'MINID', '=', cut)
