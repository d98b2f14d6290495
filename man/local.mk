# man: a page for each program.
dist_man_MANS = %D%/als.1 %D%/gangrun.1
