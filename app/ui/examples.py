"""The prompts the page offers, one per thing the embedded model can show: objects, faces, people, grounds, styles."""

EXAMPLES: tuple[str, ...] = (
    "a red apple, noto style",
    "blue heart, noto style, on a yellow background",
    "grinning face, 3d style",
    "panda face, noto style",
    "rocket, noto style",
    "birthday cake",
    "woman astronaut, dark skin tone",
    "hamburger, flat style",
)
