"""The prompts the page offers, one per thing the embedded model can show: objects, faces, people, grounds, styles."""

EXAMPLES: tuple[str, ...] = (
    "a red apple, noto style",
    "blue heart on a yellow background, noto style",
    "cat face, noto style",
    "angry face, twemoji style",
    "clock, twemoji style",
    "globe, noto style",
    "woman, medium skin tone, noto style",
    "bear face, 3d style",
)
