"""Adds the shipped weights to a wheel as the package `latent_lab_weights`: in a checkout they lie beside the code."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["app*", "ldm_core*"]), "latent_lab_weights"],
    package_dir={"latent_lab_weights": "weights"},
)
