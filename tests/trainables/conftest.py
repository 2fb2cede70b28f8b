import torch

# As in a trial with one core; and stacks made here by hand are channels last, which some batches and several threads
# do not survive (trainables.stacks.choice.layout_of).
torch.set_num_threads(1)
