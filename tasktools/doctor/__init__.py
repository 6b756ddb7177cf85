"""What is, and what is wrong with it: the lines of taskdoctor. Each part of the site has a file, and takes what it looks at."""
