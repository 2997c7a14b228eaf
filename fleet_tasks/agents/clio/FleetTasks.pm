package FleetTasks;

# Loaded into CLIO before CLIO itself (perl -MFleetTasks clio): gives it its settings and its task without a file, an
# argument or an environment variable, and mends what stands in the way of a run without a person.
#
# Standard input holds one line of JSON: provider, model, api_base, key. After that it is the null device. FLEET_STATE
# is a folder for whatever CLIO wants to keep. Every mend looks first whether there is something to mend: what a later
# CLIO does differently is left alone.

use strict;
use warnings;
use JSON::PP ();

my $given;
my $state;

BEGIN {
    my $line = <STDIN>;
    $given = eval { JSON::PP->new->utf8->decode( $line // '' ) } || {};
    open STDIN, '<', '/dev/null' or die "FleetTasks: /dev/null cannot be opened: $!\n";
    $state = delete $ENV{FLEET_STATE} // die "FleetTasks: FLEET_STATE is not set.\n";

    my $file = $ENV{FLEET_TASK_FILE} // die "FleetTasks: FLEET_TASK_FILE is not set.\n";
    open my $task, '<:raw', $file or die "FleetTasks: $file cannot be read: $!\n";
    my $text = do { local $/; <$task> };
    close $task;

    # What begins like a flag, a chat command or a protocol of CLIO's own is meant for the model all the same.
    $text = " $text" if $text =~ m{\A[-/\[]} or $text eq '0';
    push @ARGV, '--input', $text;

    # CLIO's modules come through here. It writes requests with their keys to a log in /tmp: that goes nowhere. Its
    # other files there go into our folder, which is removed.
    my $mend = sub {
        my ( undef, $name ) = @_;
        return unless $name =~ m{\ACLIO/};
        my ($path) = grep { -f } map {"$_/$name"} grep { !ref } @INC or return;
        open my $module, '<:raw', $path or return;
        my $source = do { local $/; <$module> };
        close $module;
        $source =~ s{/tmp/clio_(?:requests|json_errors)\.log}{/dev/null}g;
        $source =~ s{/tmp/clio(?=[-_])}{$state/clio}g;
        $source = qq{#line 1 "$path"\n$source};
        $INC{$name} = $path;
        open my $mended, '<:raw', \$source or return;
        return $mended;
    };
    unshift @INC, $mend;

    # CLIO's own "use lib" would go before that.
    require lib;
    my $import = lib->can('import');
    no warnings 'redefine';
    *lib::import = sub {
        $import->(@_);
        @INC = ( $mend, grep { !ref || $_ != $mend } @INC );
    };

}

# wrap NAME, SUB: SUB is called in place of the function NAME, with that first; where there is none, nothing happens.
sub wrap {
    my ( $name, $around ) = @_;
    my ( $module, $function ) = $name =~ /\A(.+)::(\w+)\z/;
    ( my $file = "$module.pm" ) =~ s{::}{/}g;
    return unless eval { require $file; 1 };
    my $inner = $module->can($function) or return;
    no strict 'refs';
    no warnings 'redefine';
    *{$name} = sub { $around->( $inner, @_ ) };
    return;
}

# What other modules take over by name when they are compiled has to be mended before.
BEGIN {

    # Its folder for settings is ours, also where our folder lies below the home: there it would take ~/.clio.
    wrap( 'CLIO::Util::ConfigPath::get_config_dir', sub {$state} );

    # It takes signs like a check mark out of what people write; models have no trouble with them.
    wrap(
        'CLIO::Util::TextSanitizer::sanitize_text',
        sub {
            my ( undef, $text ) = @_;
            utf8::decode($text) if defined $text && !ref $text && $text =~ /[^\x00-\x7f]/;
            return $text;
        }
    );
}

# After CLIO's modules are compiled, before it starts.
INIT {
    wrap 'CLIO::Core::Config::load' => \&settings;
    wrap 'CLIO::Core::CommandParser::parse_commands' => sub { my ( undef, undef, $text ) = @_; [$text] };
    wrap 'CLIO::Core::CommandParser::is_recall_query' => sub {0};
    wrap 'CLIO::UI::ProgressSpinner::start'           => sub { $_[1] };
    wrap 'CLIO::UI::Markdown::render'                 => sub { $_[2] };
    wrap 'CLIO::Core::GitHubAuth::load_tokens'        => \&tokens;
    wrap 'CLIO::Core::GitHubAuth::save_tokens' => sub { my ( undef, undef, undef, $copilot ) = @_; session($copilot) };
    wrap 'CLIO::Compat::HTTP::request'                => \&elsewhere;
    wrap 'CLIO::Compat::HTTP::_request_via_curl'      => sub { my ( undef, @rest ) = @_; complaining( \&curl, @rest ) };
    wrap 'CLIO::Compat::HTTP::_request_via_curl_streaming' =>
        sub { my ( undef, @rest ) = @_; complaining( \&curl, @rest ) };
    wrap 'HTTP::Tiny::request'                        => \&complaining;
    wrap 'CLIO::Core::APIManager::get_model_capabilities'         => \&roomy;
    wrap 'CLIO::Core::APIManager::validate_and_truncate_messages' => \&whole;
    wrap 'CLIO::Tools::Tool::execute'                 => sub { my ( $do, @words ) = @_; homely( $words[1] ); $do->(@words) };
}

# Settings as if they had been read from a file; none of them is marked as the user's own, so none is ever saved.
sub settings {
    my ( $load, $self, @rest ) = @_;
    my @loaded = $load->( $self, @rest );
    my $config = $self->{config};
    $config->{provider} = $given->{provider} if $given->{provider};
    $config->{api_base} = $given->{api_base} if $given->{api_base};
    $config->{model}    = $given->{model}    if $given->{model};
    $config->{api_key}  = $given->{key}      if $given->{key} && !copilot();
    if ( copilot() && !$given->{api_base} && $self->can('_get_copilot_user_api_endpoint') ) {
        my $own = $self->_get_copilot_user_api_endpoint;
        $config->{api_base} = $own if $own;
    }
    return @loaded;
}

sub copilot { return ( $given->{provider} // '' ) eq 'github_copilot' }

# The GitHub token, and what CLIO got for it, in memory only.
my $session;
sub session { $session = $_[0] if @_; return $session }

sub tokens {
    my ($load, @rest) = @_;
    return $load->(@rest) unless copilot() && $given->{key};
    return { github_token => $given->{key}, copilot_token => session(), saved_at => time };
}

# GitHub's API may be another one (GITHUB_API_URL, as GitHub's own runners set it).
sub elsewhere {
    my ( $request, $self, $what, @rest ) = @_;
    my $api = $ENV{GITHUB_API_URL};
    if ( $api && ref $what && $what->can('uri') && $what->uri->as_string =~ m{\Ahttps://api\.github\.com(/.*)}s ) {
        my $there = $api . $1;
        my $moved = ( ref $what )->new( $what->method, $there );
        $what->headers->scan( sub { $moved->header(@_) } );
        $moved->content( $what->content ) if defined $what->content;
        $what = $moved;
    }
    my $answer = $request->( $self, $what, @rest );
    my $posted = ref $what && $what->can('method') && $what->method eq 'POST';
    if ( $posted && ref $answer && $answer->{success} && broken( $answer->{content} // '' ) ) {
        print {*STDERR} 'FleetTasks: ', $what->uri->as_string, " broke off in the middle of its answer\n";
        STDERR->flush;
        @$answer{qw(success status reason content)} = ( 0, 599, 'Internal Exception', 'The answer broke off.' );
    }
    return $answer;
}

# Whether a stream of events came to no end: CLIO would take what there is for the whole answer.
sub broken {
    my ($content) = @_;
    return $content =~ /^data:/m && $content !~ /^data:\s*(?:\[DONE\]|\{\s*"error")/m
        && $content !~ /"finish_?reason"\s*:\s*"|"(?:message_stop|response\.(?:completed|incomplete|failed))"/i;
}

# CLIO's own words for a refusal tell little: what the model's endpoint said goes to standard error.
sub complaining {
    my ( $request, $self, $method, $url, @rest ) = @_;
    my $answer = $request->( $self, $method, $url, @rest );
    return $answer if $method ne 'POST' || !ref $answer || $answer->{success};
    my ( $status, $said ) = ( $answer->{status} // 0, $answer->{content} // '' );
    my $told = eval { JSON::PP->new->utf8->decode($said) };
    $told = $told->{error} // $told if ref $told eq 'HASH';
    $said = $told->{message} if ref $told eq 'HASH' && defined $told->{message};
    $said =~ s/\s+/ /g;
    my $how = $status == 599 ? 'cannot be reached' : "answered with $status";
    print {*STDERR} "FleetTasks: $url $how", ( length $said ? ': ' . substr( $said, 0, 200 ) : () ), "\n";
    STDERR->flush;    # CLIO has standard error buffered, and may wait for a minute now, and be ended meanwhile
    return $answer;
}

# How much a model may be told: for an endpoint on the device itself, and one that does not list the model, CLIO guesses
# 32000 tokens. Its own words and tools take more by its way of counting, and the task and all results would be left out.
sub roomy {
    my ( $ask, @rest ) = @_;
    my $found = $ask->(@rest);
    return $found if $found && ( $found->{max_prompt_tokens} // 0 ) > 32_000;
    return { max_output_tokens => 4096, %{ $found || {} }, map { $_ => 128_000 } qw(max_prompt_tokens max_context_window_tokens) };
}

# The task stays whole also where other messages give way to fit.
sub whole {
    my ( $trim, $self, $messages, @rest ) = @_;
    my @marked = @{ $messages || [] };
    for my $each (@marked) {
        next if ( $each->{role} // '' ) ne 'user';
        $each = { %$each, _importance => 10 };
        last;
    }
    my $kept = $trim->( $self, \@marked, @rest ) || [];
    return [ map { my %each = %$_; delete $each{_importance}; \%each } @$kept ];
}

# A path that begins with ~ lies in the home for CLIO's own tools, too: only a shell would have known that.
sub homely {
    if    ( ref $_[0] eq 'HASH' )  { homely( $_[0]{$_}, /(?:\A|_)(?:path|paths|file|directory)\z/ ) for keys %{ $_[0] } }
    elsif ( ref $_[0] eq 'ARRAY' ) { homely( $_, $_[1] ) for @{ $_[0] } }
    elsif ( $_[1] && defined $_[0] && defined $ENV{HOME} ) { $_[0] =~ s{\A~(?=/|\z)}{$ENV{HOME}} }
    return;
}

# A request through curl, everything that is secret on its standard input; CLIO's own would show the key to ps.
sub curl {
    my ( $self, $method, $url, $headers, $content, $callback ) = @_;
    require File::Temp;
    my ( undef, $said ) = File::Temp::tempfile( DIR => $state, UNLINK => 1 );
    my @lines = ( 'silent', 'no-buffer', "request = " . quoted($method), "dump-header = " . quoted($said) );
    push @lines, "max-time = $self->{timeout}" if $self->{timeout};
    push @lines, 'cacert = ' . quoted( $ENV{CURL_CA_BUNDLE} ) if $ENV{CURL_CA_BUNDLE};
    push @lines, 'header = ' . quoted("$_: $headers->{$_}") for sort keys %{ $headers || {} };
    if ( defined $content && length $content ) {
        my ( $body, $file ) = File::Temp::tempfile( DIR => $state, UNLINK => 1 );
        binmode $body;
        print {$body} $content;
        close $body;
        push @lines, 'data-binary = ' . quoted("\@$file");
    }
    push @lines, 'url = ' . quoted($url);

    pipe my $from, my $to or return failed("no pipe: $!");
    my $pid = open my $answer, '-|';
    return failed("no process: $!") unless defined $pid;
    if ( !$pid ) {
        close $to;
        open STDIN, '<&', $from or POSIX::_exit(126);
        exec 'curl', '--config', '-' or POSIX::_exit(127);
    }
    close $from;
    {
        local $SIG{PIPE} = 'IGNORE';
        print {$to} join( "\n", @lines ), "\n";
        close $to;
    }
    my $whole = '';
    my $heard;
    while (1) {
        my $size = sysread $answer, my $piece, 4096;
        next if !defined $size && $!{EINTR};
        last unless $size;
        $whole .= $piece;
        next unless $callback;
        $heard //= bless { success => 1, status => 200, reason => 'OK', content => '', headers => {} },
            'CLIO::Compat::HTTP::Response';
        eval { $callback->( $piece, $heard, undef ) };
    }
    close $answer;
    my $ended = $? >> 8;
    my ( $status, $reason, %told ) = heads($said);
    # 18 is an answer cut short, 28 one that took too long; after others all of it may be there.
    return failed("curl ended with $ended") if !$status || $ended == 18 || $ended == 28;
    return {
        success => $status >= 200 && $status < 300,
        status  => $status,
        reason  => $reason,
        headers => \%told,
        content => $whole,
    };
}

sub failed {
    my ($why) = @_;
    return { success => 0, status => 599, reason => 'Internal Exception', headers => {}, content => $why };
}

# A value for curl's config file.
sub quoted {
    my ($value) = @_;
    my %escape = ( "\n" => '\n', "\r" => '\r', "\t" => '\t' );
    $value =~ s/([\\"])/\\$1/g;
    $value =~ s/([\n\r\t])/$escape{$1}/g;
    return qq{"$value"};
}

# Status, reason and headers of the last answer that curl wrote down.
sub heads {
    my ($file) = @_;
    open my $lines, '<', $file or return;
    my ( $status, $reason, %told );
    while ( my $line = <$lines> ) {
        $line =~ s/\r?\n\z//;
        if    ( $line =~ m{\AHTTP/[\d.]+\s+(\d+)\s*(.*)} ) { ( $status, $reason, %told ) = ( $1, $2 ) }
        elsif ( $line =~ /\A([^:]+):\s*(.*)/ )             { $told{ lc $1 } = $2 }
    }
    close $lines;
    return ( $status, $reason, %told );
}

require IO::Handle;
require POSIX;
require Errno;

1;
