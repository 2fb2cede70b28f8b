SCORES = {}
