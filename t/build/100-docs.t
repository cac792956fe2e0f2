# What an operator or a client looks up is there, in both languages:
# directives, error codes, counters, endpoints; and the two say the same as far
# as that can be counted.

use strict;
use warnings;

use lib 't/lib';
use Exam;
use Test::More;

my $root = $Exam::Process::Root;

sub text { return Exam::slurp("$root/$_[0]") }

# What is not there, by name.

sub missing {
    my ($text, @names) = @_;

    return join ' ', grep { $text !~ /`\Q$_\E[`\s]/ } @names;
}

my $module = text('ngx_exam_module/ngx_http_exam_module.c');
my @directives = $module =~ /^ *\{ ngx_string\("(exam\w*)"\),$/mg;
my ($endpoints) = $module =~ /_endpoints\[\] = \{(.*?)^\};/ms;
my @endpoints = $endpoints =~ /ngx_string\("(\w+)"\)/g;
my @codes = grep { $_ ne 'ok' }
            text('core/exam_err.h') =~ /X\(\w+, +\d+, "(\w+)"/g;
my @counters = text('ngx_exam_module/ngx_http_exam_counters.h')
               =~ /^ *X\((?:counter|gauge), +(\w+),/mg;

cmp_ok scalar @directives, '>', 30, 'directives are found';
cmp_ok scalar @endpoints, '>', 10, 'endpoints are found';
cmp_ok scalar @codes, '>', 50, 'error codes are found';
cmp_ok scalar @counters, '>', 30, 'counters are found';

for my $language ('', '.zh-CN') {
    my $readme = text("README$language.md");
    my $reference = text("docs/reference$language.md");

    is missing($readme, @directives), '', "README$language: directives";
    is missing($readme, @endpoints), '', "README$language: endpoints";
    is missing($readme, @codes), '', "README$language: error codes";
    is missing($reference, @counters), '', "reference$language: counters";
}

for my $name ('README', 'docs/reference') {
    my ($en, $zh) = (text("$name.md"), text("$name.zh-CN.md"));

    for my $what ([ headings => qr/^(#+) /m ], [ rows => qr/^(\|)/m ],
                  [ items => qr/^(-) /m ], [ fences => qr/^(```)/m ])
    {
        my ($kind, $re) = @$what;

        is join(' ', $zh =~ /$re/g), join(' ', $en =~ /$re/g),
            "$name: as many $kind in both languages";
    }

    my @of = map { [ sort /`([^`\n]+)`/g ] }
             map { s/^```.*?^```//msgr } $en, $zh;

    # words of the texts may differ, names of the program may not
    my %count;
    $count{$_}++ for grep { /^exam_\w+$/ } @{ $of[0] };
    $count{$_}-- for grep { /^exam_\w+$/ } @{ $of[1] };

    is join(' ', sort grep { $count{$_} } keys %count), '',
        "$name: both name the same directives as often";

    # section by section, whatever stands in backquotes is in both
    my @differ;
    my ($ours, $theirs) = map { [ split /^#+ .*\n/m, s/^```.*?^```//msgr ] }
                          $en, $zh;

    for my $i (0 .. $#$ours) {
        my @names = map {
            my %names = map { s/\s+/ /gr => 1 } $_->[$i] =~ /`([^`]+)`/g;
            \%names;
        } $ours, $theirs;

        push @differ, map { "$i: $_" } grep { !$names[1]{$_} }
                      sort keys %{ $names[0] };
        push @differ, map { "$i zh: $_" } grep { !$names[0]{$_} }
                      sort keys %{ $names[1] };
    }

    is join(', ', @differ), '', "$name: each section names the same things";
}

# links within a file, and to files

for my $file (map { ("$_.md", "$_.zh-CN.md") } 'README', 'docs/reference') {
    my $dir = $file =~ m{^(.*)/} ? "$1/" : '';
    my @broken;

    for my $link (text($file) =~ /\]\(([^)\s]+)\)/g) {
        my ($path, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;

        next if $path =~ /^https?:/;

        my $target = $path eq '' ? $file : "$dir$path";
        $target =~ s{[^/]+/\.\./}{}g;

        if (!-e "$root/$target") {
            push @broken, $link;
            next;
        }

        next if !defined $anchor;

        utf8::decode(my $text = text($target));
        utf8::decode($anchor);

        my %known = map { (lc =~ s/[^\w\s-]//gr =~ s/\s/-/gr) => 1 }
                    $text =~ /^#+ (.*)$/mg;

        push @broken, $link if !$known{$anchor};
    }

    is "@broken", '', "$file: all links lead somewhere";
}

done_testing;
