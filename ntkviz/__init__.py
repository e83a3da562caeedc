"""ntkviz: which training examples made a network say this, and can that answer be trusted?"""
