//! Lua scripts that Redis runs atomically.
//!
//! A group has an epoch, a random text. Its values contain the epoch of their creation and are valid in that epoch
//! only. Deleting the epoch invalidates the group, even if Redis is full. A key with unexpected content counts as empty
//! and is overwritten.

/// `text` returns a key's text, or nothing if it has another type or is too long for a value.
macro_rules! script {
    ($body:literal) => {
        concat!(
            "local function text(key)\n",
            "  local value = redis.pcall('GETRANGE', key, 0, 4096)\n",
            "  if type(value) == 'string' and value ~= '' and #value <= 4096 then return value end\n",
            "end\n",
            "local function epoch_of(key) return string.match(text(key) or '', '^[%w-]+$') end\n",
            "local function set(key, value, life)\n",
            "  local done = redis.pcall('SET', key, value, 'PX', life)\n",
            "  return type(done) == 'table' and done.ok ~= nil\n",
            "end\n",
            $body
        )
    };
}

/// The maximum size of a value in bytes, without its prefix.
pub const MAX_BYTES: usize = 3500;

/// KEYS: epoch, value, lock. ARGV: the oldest valid time, a new epoch and claim, the TTL of the claim, the TTL of the
/// epoch. Returns epoch, value and `found`; epoch, nothing and `claimed` or `held`; or nothing if Redis is full.
pub const FETCH: &str = script!(
    "local epoch = epoch_of(KEYS[1])
if not epoch then
  epoch = ARGV[2]
  if not set(KEYS[1], epoch, ARGV[4]) then return {} end
end
local value = text(KEYS[2]) or ''
local of, at = string.match(value, '^(%S+) (%d+) ')
if of == epoch and tonumber(at) >= tonumber(ARGV[1]) then return {epoch, value, 'found'} end
local lock = text(KEYS[3])
if lock and string.match(lock, '^(%S+) ') == epoch then
  local left = redis.call('PTTL', KEYS[3])
  if left >= 0 and left <= tonumber(ARGV[3]) then return {epoch, '', 'held'} end
end
if set(KEYS[3], epoch .. ' ' .. ARGV[2], ARGV[3]) then return {epoch, '', 'claimed'} end
return {epoch, '', 'full'}"
);

/// KEYS: epoch, value. ARGV: the value's epoch, its time, the value, the TTL of the value, the TTL of the epoch.
pub const STORE: &str = script!(
    "if epoch_of(KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return set(KEYS[2], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3], ARGV[4]) and 1 or 0"
);

/// KEYS: lock. ARGV: the claim. Releases the lock.
pub const RELEASE: &str = script!(
    "if string.match(text(KEYS[1]) or '', ' (%S+)$') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])"
);

/// KEYS: lock. ARGV: the claim, its TTL.
pub const RENEW: &str = script!(
    "if string.match(text(KEYS[1]) or '', ' (%S+)$') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])"
);

/// KEYS: epoch. ARGV: a new epoch, its TTL. Returns the epoch, or an empty text if Redis is full.
pub const EPOCH: &str = script!(
    "local epoch = epoch_of(KEYS[1])
if epoch then return epoch end
return set(KEYS[1], ARGV[1], ARGV[2]) and ARGV[1] or ''"
);

/// KEYS: epoch. ARGV: channel, message.
pub const INVALIDATE: &str = script!(
    "redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1"
);

/// KEYS: epoch, value. ARGV: channel, message, the epoch of the write ticket, a new epoch, its TTL, the value's time,
/// the value, its TTL. Invalidates the group; stores the value unless another instance invalidated the group.
pub const REPLACE: &str = script!(
    "local alone = epoch_of(KEYS[1]) == ARGV[3]
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[1], ARGV[2])
if alone and set(KEYS[1], ARGV[4], ARGV[5]) then
  set(KEYS[2], ARGV[4] .. ' ' .. ARGV[6] .. ' ' .. ARGV[7], ARGV[8])
end
return 1"
);
