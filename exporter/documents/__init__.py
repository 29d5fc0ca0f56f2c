"""Files that an operator writes: YAML as values with places, and a sentence for each mistake."""
