-- Looks at the sessions of homes of one partition and at their places in the
-- indexes, as of one moment.
--
-- KEYS  1 the combos (c), then the sessions of homes (s). The indexes (i) that
--       the sessions name are read too, in the same slot.
-- ARGV  1 the beginning of the indexes' keys
--
-- Returns of each home its value, and a list: of each session its place in its
-- index and its combo's place among the combos, each '' where it has none.
local out = {}
for k = 2, #KEYS do
  local value = redis.call('GET', KEYS[k]) or ''
  local places = {}
  local at = 1
  while at + 53 <= #value do
    local length = struct.unpack('>I2', value, at)
    local n = string.byte(value, at + 46)
    local name = string.byte(value, at + 47 + n)
    if length < 54 or not name then break end
    local combo = string.sub(value, at + 47, at + 46 + n)
    local entry = string.sub(value, at + 2, at + 17) .. string.sub(value, at + 48 + n, at + 47 + n + name)
    places[#places + 1] = redis.call('ZSCORE', ARGV[1] .. combo, entry) or ''
    places[#places + 1] = redis.call('ZSCORE', KEYS[1], combo) or ''
    at = at + length
  end
  out[#out + 1] = value
  out[#out + 1] = places
end
return out
