"""How a model's networks are executed: eager torch, the reference and the fallback, or a graph made from them."""
