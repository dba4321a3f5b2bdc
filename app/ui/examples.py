"""The prompts the page offers, one per thing the embedded model can show: objects, faces, people, grounds, styles."""

EXAMPLES: tuple[str, ...] = (
    "a red apple, noto style",
    "blue heart on a yellow background",
    "grinning face, 3d style",
    "panda face",
    "rocket",
    "birthday cake",
    "woman astronaut, dark skin tone",
    "hamburger, flat style",
)
