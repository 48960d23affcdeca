"""A small module to measure: temperatures in three scales."""

ABSOLUTE_ZERO = -273.15


class TooCold(ValueError):
    """Colder than anything can be."""


def checked(celsius):
    if celsius < ABSOLUTE_ZERO:
        raise TooCold(f"{celsius} °C is below absolute zero")
    return celsius


def to_celsius(value, scale):
    if scale == "C":
        return checked(value)
    if scale == "F":
        return checked((value - 32) * 5 / 9)
    if scale == "K":
        return checked(value + ABSOLUTE_ZERO)
    raise ValueError(f"unknown scale {scale!r}")


def describe(celsius):
    if celsius < 0:
        return "freezing"
    if celsius < 15:
        return "cool"
    if celsius < 25:
        return "pleasant"
    return "hot"


def parse(text):
    text = text.strip().replace("°", " ")
    number, _, scale = text.rpartition(" ")
    return to_celsius(float(number), scale.strip().upper())
