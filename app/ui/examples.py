"""The prompts the page offers, one per thing the embedded model can show: objects, faces, people, grounds, styles."""

EXAMPLES: tuple[str, ...] = (  # keys of their words in app.i18n
    "example_apple",
    "example_heart",
    "example_face",
    "example_panda",
    "example_rocket",
    "example_cake",
    "example_astronaut",
    "example_hamburger",
)
