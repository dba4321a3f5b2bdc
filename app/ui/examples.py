"""The prompts the page offers, one per thing the embedded model can show: objects, faces, colours, styles."""

EXAMPLES: tuple[str, ...] = (
    "a red apple, noto style",
    "cat with heart eyes, flat style",
    "rocket on a blue background",
    "red heart, 3d style",
    "smiling face with sunglasses, blob style",
    "green tree, noto style",
    "yellow star, twemoji style",
    "pizza, flat style",
)
