# The add-on file: a missing library or --with-threads stops configure with
# the name of what to install.  A compiler that does not find the library
# stands for a system without it.

use strict;
use warnings;

use lib 't/lib';
use Exam;
use Test::More;

my $root = $Exam::Process::Root;
my $tree = $ENV{EXAM_NGINX_TREE} // "$root/var/src/nginx-1.26";
my $configure = -x "$tree/configure" ? './configure' : 'auto/configure';
my $dir = Exam::dir();

my %package = (
    hiredis => 'libhiredis-dev',
    yajl => 'libyajl-dev',
    crypto => 'libssl-dev',
);


sub configure {
    my ($missing, @options) = @_;

    Exam::spew("$dir/cc", <<"END");
#!/bin/sh
case " \$* " in
*" -l$missing "*) exit 1 ;;
esac
exec gcc "\$@"
END
    chmod 0755, "$dir/cc";

    # a tree of links: configure writes a Makefile into the current folder
    mkdir "$dir/tree";
    symlink "$tree/$_", "$dir/tree/$_" for qw(auto src configure conf man);

    return Exam::run('sh', '-c', "cd $dir/tree && exec \"\$@\"", 'sh',
        $configure, "--builddir=$dir/objs", "--with-cc=$dir/cc",
        qw(--without-pcre --without-http_rewrite_module
           --without-http_gzip_module), "--add-module=$root", @options);
}


for my $library (sort keys %package) {
    my ($rc, $out) = configure($library, '--with-threads');
    isnt $rc, 0, "without $library configure fails";
    like $out, qr/Debian package \Q$package{$library}\E/,
        "without $library: the package";
}

my ($rc, $out) = configure('none');
isnt $rc, 0, 'without --with-threads configure fails';
like $out, qr/option --with-threads/, 'without --with-threads: the option';

($rc, $out) = configure('none', '--with-threads');
is $rc, 0, 'with everything configure is content';

done_testing;
