"""The lists behind the numbers of the pages, for whoever may read: without what only people who operate may see."""
