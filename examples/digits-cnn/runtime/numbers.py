"""Numbers as people read them."""


def as_text(key: str, value: float) -> str:
    """The value of a metric: learning rates and the very large with an exponent."""
    if key == "lr" or abs(value) >= 1e4:
        return f"{value:.1e}"
    return f"{value:.2f}" if key == "norm" else f"{value:.3f}"


def short(count: float) -> str:
    """The number with three digits: 64, 3.10k, 192k, 1.86M."""
    suffixes = ["G", "M", "k", ""]
    while count >= 999.5 and len(suffixes) > 1:
        count /= 1000
        suffixes.pop()
    digits = f"{count:#.3g}".rstrip(".") if suffixes[-1] else f"{count:.3g}"
    return digits + suffixes[-1]
