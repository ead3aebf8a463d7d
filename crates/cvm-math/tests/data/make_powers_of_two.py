"""Print `src/libraries/powers.rs`: the powers 2^(k/128) and what their roundings leave.

python crates/cvm-math/tests/data/make_powers_of_two.py > crates/cvm-math/src/libraries/powers.rs
"""

import struct

import mpmath

mpmath.mp.prec = 300
HEAD = """//! Powers 2^(k/128) and 2^(k/2048), made by `tests/data/make_powers_of_two.py`.

/// The bits of 2^(k/128) rounded to a double, and of `2^(k/128) / rounded - 1`.
pub(super) const POWERS: [(u64, u64); 128] = ["""


def bits(x: float) -> str:
    """Return the bits of a double as Rust writes them."""
    digits = f"{struct.unpack('<Q', struct.pack('<d', x))[0]:016x}"
    return "0x" + "_".join(digits[i : i + 4] for i in range(0, 16, 4))


def table(steps: int, count: int) -> None:
    """Print the powers 2^(k/steps) for k below the count."""
    for k in range(count):
        power = mpmath.mpf(2) ** (mpmath.mpf(k) / steps)
        rounded = float(power)
        print(f"    ({bits(rounded)}, {bits(float(power / rounded - 1))}),")
    print("];")


print(HEAD)
table(128, 128)
print("\n/// The same of 2^(k/2048).\npub(super) const FINE_POWERS: [(u64, u64); 16] = [")
table(2048, 16)
