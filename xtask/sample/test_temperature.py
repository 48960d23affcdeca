import unittest

from temperature import TooCold, describe, parse, to_celsius


class Temperature(unittest.TestCase):
    def test_scales(self):
        self.assertEqual(to_celsius(21, "C"), 21)
        self.assertEqual(to_celsius(212, "F"), 100)

    def test_nothing_is_colder_than_absolute_zero(self):
        with self.assertRaises(TooCold):
            to_celsius(-300, "C")

    def test_words(self):
        self.assertEqual(describe(-4), "freezing")
        self.assertEqual(describe(21), "pleasant")
        self.assertEqual(describe(35), "hot")

    def test_text(self):
        self.assertEqual(parse(" 68 °F "), 20)


if __name__ == "__main__":
    unittest.main()
