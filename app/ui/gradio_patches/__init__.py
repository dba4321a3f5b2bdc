"""Everything that reaches into Gradio's own parts (6.31), so that an upgrade has one folder to look through.

Each module says what Gradio does by itself and why that is not enough here; its test is in tests/app/ui/gradio_patches/
or, where several parts meet, in tests/app/security/.
"""
