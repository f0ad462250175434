-- Counts the sessions of one partition.
--
-- KEYS  1 the combos (c). The index (i) of each is read too, in the same slot.
-- ARGV  1 the beginning of the indexes' keys
--
-- Returns each combo and how many sessions it has.
local out = {}
for _, combo in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local count = redis.call('ZCARD', ARGV[1] .. combo)
  -- A combo without sessions has no place there: the slot is on its way to
  -- another server, and the index at the other end of it.
  if count == 0 then return redis.error_reply('TRYAGAIN an index is not here') end
  out[#out + 1] = combo
  out[#out + 1] = count
end
return out
